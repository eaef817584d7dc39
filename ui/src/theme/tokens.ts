import { type ThemeConfig, theme } from 'antd';

export type Scheme = 'light' | 'dark';
export type Density = 'comfortable' | 'compact';

interface Palette {
  accent: string;
  text: string;
  muted: string;
  faint: string;
  border: string;
  hairline: string;
  window: string;
  panel: string;
  raised: string;
  hover: string;
  selected: string;
  success: string;
  warning: string;
  danger: string;
  infoBg: string;
  successBg: string;
  warningBg: string;
  dangerBg: string;
}

export const PALETTES: Record<Scheme, Palette> = {
  light: {
    accent: '#2b66b1',
    text: '#1f2328',
    muted: '#59626d',
    faint: '#67707b',
    border: '#d3d7dc',
    hairline: '#e6e8eb',
    window: '#f3f4f6',
    panel: '#ffffff',
    raised: '#ffffff',
    hover: '#eef0f2',
    selected: '#e3ecf7',
    success: '#23783f',
    warning: '#8f5b00',
    danger: '#b3312b',
    infoBg: '#eff4fa',
    successBg: '#eef6f0',
    warningBg: '#fbf5e6',
    dangerBg: '#fbefee',
  },
  dark: {
    accent: '#6ea4e0',
    text: '#e2e5e9',
    muted: '#a2aab4',
    faint: '#818a95',
    border: '#3c4148',
    hairline: '#2c3036',
    window: '#17191c',
    panel: '#1e2124',
    raised: '#26292d',
    hover: '#292d31',
    selected: '#263548',
    success: '#63b77e',
    warning: '#d6a24a',
    danger: '#e5807a',
    infoBg: '#1f2a37',
    successBg: '#1e2c23',
    warningBg: '#2f2a1e',
    dangerBg: '#352322',
  },
};

/** The look of the whole program as tokens; there is no second place that sets colours. */
export function themeConfig(scheme: Scheme, density: Density, motion: boolean): ThemeConfig {
  const p = PALETTES[scheme];
  const compact = density === 'compact';
  return {
    algorithm: scheme === 'dark' ? theme.darkAlgorithm : theme.defaultAlgorithm,
    cssVar: { key: 'gw' },
    hashed: false,
    token: {
      colorPrimary: p.accent,
      colorInfo: p.accent,
      colorLink: p.accent,
      colorSuccess: p.success,
      colorWarning: p.warning,
      colorError: p.danger,
      colorInfoBg: p.infoBg,
      colorInfoBorder: p.border,
      colorSuccessBg: p.successBg,
      colorSuccessBorder: p.border,
      colorWarningBg: p.warningBg,
      colorWarningBorder: p.border,
      colorErrorBg: p.dangerBg,
      colorErrorBorder: p.border,
      colorBgMask: 'rgb(0 0 0 / 32%)',
      colorText: p.text,
      colorTextSecondary: p.muted,
      colorTextTertiary: p.faint,
      colorTextDescription: p.muted,
      colorTextPlaceholder: p.faint,
      colorBgLayout: p.window,
      colorBgContainer: p.panel,
      colorBgElevated: p.raised,
      colorBorder: p.border,
      colorBorderSecondary: p.hairline,
      fontFamily: 'var(--font)',
      fontFamilyCode: 'var(--font-mono)',
      fontSize: 13,
      borderRadius: 5,
      borderRadiusLG: 7,
      controlHeight: compact ? 28 : 32,
      controlHeightSM: compact ? 22 : 26,
      padding: compact ? 12 : 16,
      paddingLG: compact ? 16 : 20,
      lineWidthFocus: 2,
      motion,
      boxShadow: '0 2px 10px rgb(0 0 0 / 12%)',
      boxShadowSecondary: '0 4px 18px rgb(0 0 0 / 16%)',
      wireframe: false,
    },
    components: {
      Button: {
        primaryShadow: 'none',
        defaultShadow: 'none',
        dangerShadow: 'none',
        fontWeight: 500,
        primaryColor: scheme === 'dark' ? '#0d1621' : '#ffffff',
      },
      Tabs: { horizontalItemPadding: compact ? '7px 0' : '9px 0', titleFontSize: 13 },
      Form: { itemMarginBottom: compact ? 14 : 18, verticalLabelPadding: '0 0 4px' },
      Modal: { titleFontSize: 15 },
      Tooltip: { fontSize: 12 },
      Alert: {
        defaultPadding: '7px 12px',
        withDescriptionPadding: '9px 12px',
        withDescriptionIconSize: 15,
        fontSizeLG: 13,
      },
      Slider: {
        trackBg: p.accent,
        trackHoverBg: p.accent,
        railBg: p.hairline,
        railHoverBg: p.border,
        handleColor: p.accent,
      },
      Segmented: { trackBg: p.hover, itemSelectedBg: p.panel },
    },
  };
}

/** The same palette as CSS variables, for what is not drawn by the component library. */
export function paletteVariables(scheme: Scheme, strong: boolean): Record<string, string> {
  const palette = PALETTES[scheme];
  const { text } = palette;
  const shown = strong ? { ...palette, muted: text, faint: text, border: text } : palette;
  return Object.fromEntries(Object.entries(shown).map(([name, value]) => [`--${name}`, value]));
}

import type { ITheme } from '@xterm/xterm';

const LIGHT: ITheme = {
  background: '#fbfbfc',
  foreground: '#1f2328',
  cursor: '#2b66b1',
  cursorAccent: '#ffffff',
  selectionBackground: '#c5daf3',
  black: '#1f2328',
  red: '#b3312b',
  green: '#23783f',
  yellow: '#8f5b00',
  blue: '#2b66b1',
  magenta: '#8a3a94',
  cyan: '#1b7285',
  white: '#6e7781',
  brightBlack: '#57606a',
  brightRed: '#c94a44',
  brightGreen: '#2e9350',
  brightYellow: '#a8730f',
  brightBlue: '#3f7fcf',
  brightMagenta: '#a353ad',
  brightCyan: '#2a8ba0',
  brightWhite: '#8c959f',
};

const DARK: ITheme = {
  background: '#15171a',
  foreground: '#dde1e6',
  cursor: '#6ea4e0',
  cursorAccent: '#15171a',
  selectionBackground: '#2f4a6b',
  black: '#2c3036',
  red: '#e5807a',
  green: '#63b77e',
  yellow: '#d6a24a',
  blue: '#6ea4e0',
  magenta: '#c78ad0',
  cyan: '#5fb6c8',
  white: '#c4c9d0',
  brightBlack: '#818a95',
  brightRed: '#f09b96',
  brightGreen: '#80cf98',
  brightYellow: '#e8bb6c',
  brightBlue: '#8fbcf0',
  brightMagenta: '#dba5e2',
  brightCyan: '#7ecddd',
  brightWhite: '#f2f4f6',
};

export const terminalTheme = (): ITheme =>
  document.documentElement.dataset.theme === 'dark' ? DARK : LIGHT;

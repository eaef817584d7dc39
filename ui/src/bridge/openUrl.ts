import { call, inWindow } from '.';

/**
 * Opens an address of this computer in the user's browser: the shell does it for the window; a
 * page that is in the browser already opens a tab, which needs nobody's leave.
 */
export async function openUrl(url: string): Promise<void> {
  if (inWindow()) {
    await call('host.open_url', { url });
    return;
  }
  const tab = window.open(url, '_blank');
  // The app's page must not reach back into this one.
  if (tab) tab.opener = null;
}

import { call, type TrustedCertificate, toFailure } from '@/bridge';
import { queryClient, useAction } from '@/bridge/query';
import { useToast } from '@/kit';

/** Changes which certificates are trusted beside the system's: one for each host. */
export function useTrust() {
  const toast = useToast();
  const save = useAction('settings.set');

  const change = async (
    edit: (kept: TrustedCertificate[]) => TrustedCertificate[],
    onDone?: () => void,
  ) => {
    // Asked for now: the login page has not read them, and another window may have changed them.
    const settings = await call('settings.get', {});
    const next = { ...settings, trusted_certificates: edit(settings.trusted_certificates) };
    save.mutate(next, {
      onSuccess: (saved) => {
        queryClient.setQueryData(['settings.get', {}], saved);
        onDone?.();
      },
      onError: toast.failed,
    });
  };
  const failed = (thrown: unknown) => toast.failed(toFailure(thrown));
  const others = (host: string) => (kept: TrustedCertificate[]) =>
    kept.filter((each) => each.host !== host);
  return {
    isPending: save.isPending,
    keep: (certificate: TrustedCertificate, onDone: () => void) =>
      void change((kept) => [...others(certificate.host)(kept), certificate], onDone).catch(failed),
    forget: (host: string) => void change(others(host)).catch(failed),
  };
}

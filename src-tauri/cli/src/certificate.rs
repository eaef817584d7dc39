//! `gangway login --trust-certificate`: certificates for which nobody vouches.

use commands::types::{
    CertificateOf, CertificateShown, Failure, FailureCode, Nothing, Settings, TrustedCertificate,
};

use crate::Program;

async fn shown(program: &Program, endpoint: &str) -> Result<CertificateShown, Failure> {
    let endpoint = endpoint.to_owned();
    let of = CertificateOf { endpoint };
    program.table.ask("network.certificate", &of).await
}

/// Keeps the certificate that the manager shows, if it is the one that was named.
pub(crate) async fn trust(
    program: &Program,
    endpoint: &str,
    fingerprint: &str,
) -> Result<(), Failure> {
    let shown = shown(program, endpoint).await?;
    if plain(fingerprint) != plain(&shown.fingerprint) {
        let CertificateShown {
            host, fingerprint, ..
        } = shown;
        let message = format!("{host} shows another certificate: SHA256:{fingerprint}");
        return Err(Failure::new(FailureCode::CertificateUntrusted, message)
            .hint("do not go on before its administrator has said why"));
    }
    let mut settings: Settings = program.table.ask("settings.get", &Nothing {}).await?;
    let kept = &mut settings.trusted_certificates;
    kept.retain(|kept| kept.host != shown.host);
    kept.push(TrustedCertificate {
        host: shown.host,
        fingerprint: shown.fingerprint,
    });
    let _: Settings = program.table.ask("settings.set", &settings).await?;
    Ok(())
}

/// Says which certificate it was, and how to go on.
pub(crate) async fn explain(program: &Program, endpoint: &str, failure: Failure) -> Failure {
    match shown(program, endpoint).await {
        Ok(shown) => failure.hint(format!(
            "compare SHA256:{} with what the manager's administrator says, then add \
             --trust-certificate and this number",
            shown.fingerprint
        )),
        Err(_) => failure,
    }
}

/// As it is compared: fingerprints are written in many ways.
fn plain(fingerprint: &str) -> String {
    let text = fingerprint.trim();
    let text = text.strip_prefix("SHA256:").unwrap_or(text);
    text.replace(':', "").to_ascii_lowercase()
}

//! The certificate of a manager, before the user says that it is the right one.

use crate::context::Context;
use crate::types::{CertificateOf, CertificateShown, Failure, Settings};

/// Looks at it; nothing is sent to whoever shows it.
pub(crate) async fn look(
    context: &Context,
    request: CertificateOf,
) -> Result<CertificateShown, Failure> {
    let settings: Settings = context.config()?.preferences()?;
    let network = crate::network::of(context, &settings).await?;
    // As it is typed at the login.
    let address = match request.endpoint.trim() {
        bare if !bare.contains("://") => format!("https://{bare}"),
        whole => whole.to_owned(),
    };
    let shown = client::certificate(&address, &network).await?;
    let kept = settings
        .trusted_certificates
        .into_iter()
        .find(|kept| kept.host == shown.host);
    Ok(CertificateShown {
        host: shown.host,
        fingerprint: shown.fingerprint.to_string(),
        problem: shown.problem,
        kept: kept.map(|kept| kept.fingerprint),
    })
}

//! A quick look at a file, a new one, and permissions.

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::content;
use crate::context::Context;
use crate::types::{
    Failure, FailureCode, FileKind, FileMode, FileRef, FileView, FileViewKind, Nothing, Tag,
};

/// So much of a text is shown; the window stays quick with it.
const TEXT_MOST: u64 = 512 * 1024;
/// Larger pictures are for a program that is made for them.
const PICTURE_MOST: u64 = 16 * 1024 * 1024;
/// Bytes that decide whether it is a text: one that has a zero byte among them is none.
const PROBE: usize = 8 * 1024;
/// Permissions and the set-id and sticky bits.
const MODE_BITS: u32 = 0o7777;

pub(crate) async fn view(context: &Context, request: FileRef) -> Result<FileView, Failure> {
    let entry = content::stat(context, &request.location).await?;
    let mut view = FileView {
        kind: FileViewKind::Binary,
        text: None,
        picture: None,
        cut: false,
        entry,
    };
    if view.entry.kind == FileKind::Directory {
        view.kind = FileViewKind::Directory;
        return Ok(view);
    }
    if view.entry.kind != FileKind::File {
        return Ok(view);
    }
    if let Some(kind) = picture_type(&view.entry.name)
        && view.entry.size <= PICTURE_MOST
    {
        let bytes = content::read(context, &request.location, PICTURE_MOST).await?;
        if is_picture(kind, &bytes) {
            view.kind = FileViewKind::Picture;
            view.picture = Some(format!(
                "data:{kind};base64,{}",
                BASE64_STANDARD.encode(&bytes)
            ));
            return Ok(view);
        }
    }
    let bytes = content::read(context, &request.location, TEXT_MOST).await?;
    view.cut = view.entry.size > bytes.len() as u64;
    if let Some(text) = as_text(&bytes, view.cut) {
        view.kind = FileViewKind::Text;
        view.text = Some(text);
    }
    Ok(view)
}

/// The type of a picture that a web view shows, by its name.
fn picture_type(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "bmp" => "image/bmp",
        "svg" => "image/svg+xml",
        _ => return None,
    })
}

/// Whether the content is what the name says.
fn is_picture(kind: &str, bytes: &[u8]) -> bool {
    match kind {
        "image/png" => bytes.starts_with(b"\x89PNG"),
        "image/jpeg" => bytes.starts_with(b"\xff\xd8"),
        "image/gif" => bytes.starts_with(b"GIF8"),
        "image/webp" => bytes.starts_with(b"RIFF"),
        "image/bmp" => bytes.starts_with(b"BM"),
        _ => std::str::from_utf8(bytes).is_ok_and(|text| text.contains("<svg")),
    }
}

/// The bytes as a text, where they are one. The last character may have been cut in two.
fn as_text(bytes: &[u8], cut: bool) -> Option<String> {
    if bytes.iter().take(PROBE).any(|byte| *byte == 0) {
        return None;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text.to_owned()),
        Err(error) if cut && error.error_len().is_none() => {
            Some(String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned())
        }
        // Old texts in another encoding: shown with what can't be read marked, unless that is
        // most of it.
        Err(_) => {
            let text = String::from_utf8_lossy(bytes);
            let strange = text.chars().filter(|one| *one == '\u{fffd}').count();
            (strange * 10 < bytes.len()).then(|| text.into_owned())
        }
    }
}

pub(crate) async fn create(context: &Context, request: FileRef) -> Result<Nothing, Failure> {
    content::make(context, &request.location).await?;
    context.changed(Tag::File, None);
    Ok(Nothing {})
}

pub(crate) async fn set_mode(context: &Context, request: FileMode) -> Result<Nothing, Failure> {
    if request.mode > MODE_BITS {
        let message = format!("{:o} are no permissions", request.mode);
        return Err(Failure::new(FailureCode::InvalidInput, message));
    }
    for location in &request.locations {
        content::set_mode(context, location, request.mode).await?;
    }
    context.changed(Tag::File, None);
    Ok(Nothing {})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_told_from_what_is_none() {
        assert_eq!(as_text("안녕".as_bytes(), false).as_deref(), Some("안녕"));
        assert_eq!(
            as_text("안녕".as_bytes().split_at(4).0, true).as_deref(),
            Some("안")
        );
        assert_eq!(as_text(b"ELF\0\x01", false), None);
        assert_eq!(as_text(&[0xff; 100], false), None);
        assert_eq!(as_text(b"", false).as_deref(), Some(""));
    }

    #[test]
    fn a_picture_has_to_be_one() {
        let kind = picture_type("A.PNG").expect("a picture's name");
        assert!(is_picture(kind, b"\x89PNG\r\n"));
        assert!(!is_picture(kind, b"<html>"));
        assert_eq!(picture_type("page.html"), None);
    }
}

//! What the shell itself says: tray menu, native questions. The page has its own texts.

use commands::types::Language;

/// All texts of the shell in one language.
#[derive(Debug)]
pub(crate) struct Words {
    pub(crate) open: &'static str,
    pub(crate) settings: &'static str,
    pub(crate) quit: &'static str,
    pub(crate) goes_on: &'static str,
    pub(crate) goes_on_minimised: &'static str,
    pub(crate) nothing: &'static str,
    pub(crate) bad_link: &'static str,
    pub(crate) quit_question: &'static str,
    pub(crate) keep_going: &'static str,
    pub(crate) stop_everything: &'static str,
    pub(crate) cancel: &'static str,
    tunnels: &'static str,
    transfers: &'static str,
    files: &'static str,
}

const ENGLISH: Words = Words {
    open: "Open Gangway",
    settings: "Settings",
    quit: "Quit",
    goes_on: "Gangway goes on in the background while this is under way. Start it again, or use \
              its icon in the panel, to come back to the window.",
    goes_on_minimised: "Gangway goes on while this is under way. Your desktop shows no icons of \
                        programs in its panel, so the window was minimised.",
    nothing: "Nothing under way",
    bad_link: "This link leads nowhere. Links of Gangway name a session, a data folder or a page, \
               for example gangway://session/… or gangway://settings.",
    quit_question: "This is still under way. What should become of it?",
    keep_going: "Keep it going",
    stop_everything: "Stop it and quit",
    cancel: "Cancel",
    tunnels: "Open tunnels: {n}",
    transfers: "Transfers: {n}",
    files: "Files open in an editor: {n}",
};

const KOREAN: Words = Words {
    open: "Gangway 열기",
    settings: "설정",
    quit: "종료",
    goes_on: "아래 작업이 진행되는 동안 Gangway는 백그라운드에서 계속 실행됩니다. 다시 시작하거나 \
              패널의 아이콘을 누르면 창으로 돌아옵니다.",
    goes_on_minimised: "아래 작업이 진행되는 동안 Gangway는 계속 실행됩니다. 이 데스크톱의 패널에는 \
                        프로그램 아이콘이 표시되지 않으므로 창을 최소화했습니다.",
    nothing: "진행 중인 작업 없음",
    bad_link: "이 링크는 열 수 없습니다. Gangway 링크는 세션, 데이터 폴더 또는 페이지를 가리킵니다. \
               예: gangway://session/…, gangway://settings.",
    quit_question: "아직 진행 중인 작업이 있습니다. 어떻게 할까요?",
    keep_going: "계속 진행",
    stop_everything: "중지하고 종료",
    cancel: "취소",
    tunnels: "열린 터널: {n}",
    transfers: "전송: {n}",
    files: "편집기에 열린 파일: {n}",
};

const JAPANESE: Words = Words {
    open: "Gangway を開く",
    settings: "設定",
    quit: "終了",
    goes_on: "次の作業が続いている間、Gangway はバックグラウンドで動き続けます。もう一度起動するか、\
              パネルのアイコンを押すとウィンドウに戻ります。",
    goes_on_minimised: "次の作業が続いている間、Gangway は動き続けます。このデスクトップのパネルには\
                        プログラムのアイコンが表示されないため、ウィンドウを最小化しました。",
    nothing: "進行中の作業はありません",
    bad_link: "このリンクは開けません。Gangway のリンクはセッション、データフォルダー、ページの\
               いずれかを指します。例: gangway://session/…、gangway://settings",
    quit_question: "まだ進行中の作業があります。どうしますか？",
    keep_going: "続ける",
    stop_everything: "中止して終了",
    cancel: "キャンセル",
    tunnels: "開いているトンネル: {n}",
    transfers: "転送: {n}",
    files: "エディターで開いているファイル: {n}",
};

impl Words {
    /// The language that was chosen, or the one of the environment (`LC_ALL`, `LC_MESSAGES`,
    /// `LANG`, in the order of POSIX).
    pub(crate) fn of(language: Language) -> &'static Self {
        match language {
            Language::En => &ENGLISH,
            Language::Ko => &KOREAN,
            Language::Ja => &JAPANESE,
            Language::System => {
                let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
                    .iter()
                    .filter_map(|name| std::env::var(name).ok())
                    .find(|value| !value.is_empty());
                Self::of_locale(&locale.unwrap_or_default())
            }
        }
    }

    fn of_locale(locale: &str) -> &'static Self {
        match locale.get(..2) {
            Some("ko") => &KOREAN,
            Some("ja") => &JAPANESE,
            _ => &ENGLISH,
        }
    }

    /// What is under way, one line for each kind that there is.
    pub(crate) fn under_way(&self, tunnels: usize, transfers: usize, files: usize) -> String {
        let kinds = [
            (self.tunnels, tunnels),
            (self.transfers, transfers),
            (self.files, files),
        ];
        kinds
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(text, count)| text.replace("{n}", &count.to_string()))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_language_is_taken_from_the_locale() {
        assert_eq!(Words::of_locale("ko_KR.UTF-8").quit, KOREAN.quit);
        assert_eq!(Words::of_locale("ja").quit, JAPANESE.quit);
        assert_eq!(Words::of_locale("C").quit, ENGLISH.quit);
        assert_eq!(Words::of_locale("").quit, ENGLISH.quit);
    }

    #[test]
    fn only_what_there_is_is_named() {
        assert_eq!(ENGLISH.under_way(2, 0, 0), "Open tunnels: 2");
        assert_eq!(
            ENGLISH.under_way(1, 3, 2),
            "Open tunnels: 1\nTransfers: 3\nFiles open in an editor: 2"
        );
        assert_eq!(ENGLISH.under_way(0, 0, 0), "");
    }
}

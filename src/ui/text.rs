//! Text from elsewhere, made safe to print.

/// The text without control characters: what a tool, a server or a file says cannot move the cursor, colour the screen,
/// or show characters in another order than they have.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if is_obeyed(c) { '\u{fffd}' } else { c }).collect()
}

/// JSON that a terminal shows as it is: the characters that it allows in texts are written as escapes.
pub fn clean_json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if is_obeyed(c) {
            text.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            text.push(c);
        }
    }
    text
}

/// Whether a terminal does something else with it than to show it.
fn is_obeyed(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    // No XML may have these, not even escaped.
    let none = matches!(c, '\u{fffe}' | '\u{ffff}');
    turns || none || matches!(c, '\u{2028}' | '\u{2029}') || (c.is_control() && c != '\n')
}

/// The text in at most `width` characters, cut with `…`.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// A reason in at most `width` characters. Of a list with commas the last parts are kept, because a reason goes from the
/// general to the particular; what is too long even then is cut.
pub fn cut_front(text: &str, width: usize) -> String {
    let mut kept = text;
    let mut shown = text.to_owned();
    while shown.chars().count() > width
        && let Some((_, rest)) = kept.split_once(", ")
    {
        kept = rest;
        shown = format!("… {rest}");
    }
    cut(&shown, width)
}

/// The text after a mark, broken between words into lines of at most `width` columns; those after the first stand under
/// it. A word that is longer than a line, such as an address, stays whole, so that it can be copied.
pub fn paragraph(mark: &str, text: &str, width: usize) -> String {
    let indent = " ".repeat(textwrap::core::display_width(mark));
    let options =
        textwrap::Options::new(width).initial_indent(mark).subsequent_indent(&indent).break_words(false);
    let options = options.word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::fill(text, options.wrap_algorithm(textwrap::WrapAlgorithm::FirstFit))
}

/// How many columns the terminal has that standard output goes to; none where it goes elsewhere.
pub fn width() -> Option<usize> {
    let terminal = console::Term::stdout();
    terminal.is_term().then(|| usize::from(terminal.size().1))
}

/// A paragraph where there is a width, and a line of whatever length where there is none.
pub fn wrapped(mark: &str, text: &str, width: Option<usize>) -> String {
    match width {
        Some(width) if !text.is_empty() => format!("{}\n", paragraph(mark, text, width)),
        _ => format!("{mark}{text}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        assert_eq!(clean("a\u{1b}[31mb\r\nc"), "a\u{fffd}[31mb\u{fffd}\nc");
        assert_eq!(clean("a\u{fffe}b"), "a\u{fffd}b");
        assert_eq!(clean("a\u{9b}1m\u{202e}txt"), "a\u{fffd}1m\u{fffd}txt");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = serde_json::json!({"a": "\u{9b}31m\u{7f}\u{202e}\u{1b}"});
        let text = clean_json(&value.to_string());
        assert_eq!(text, r#"{"a":"\u009b31m\u007f\u202e\u001b"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn a_long_line_is_cut() {
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("abcd", 4), "abcd");
    }

    #[test]
    fn of_a_reason_the_particular_is_kept() {
        let reason = "phase is Deploying, virt-api: 0 of 2 ready, image is pulled";
        assert_eq!(cut_front(reason, 80), reason);
        assert_eq!(cut_front(reason, 50), "… virt-api: 0 of 2 ready, image is pulled");
        assert_eq!(cut_front(reason, 20), "… image is pulled");
        assert_eq!(cut_front(reason, 10), "… image i…");
    }

    #[test]
    fn a_paragraph_stands_beside_its_mark() {
        assert_eq!(paragraph("! ", "one two three", 9), "! one two\n  three");
        assert_eq!(
            paragraph("\u{1b}[31m✗\u{1b}[0m ", "a https://example.org/long", 8),
            "\u{1b}[31m✗\u{1b}[0m a\n  https://example.org/long"
        );
    }
}

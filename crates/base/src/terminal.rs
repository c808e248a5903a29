//! Makes untrusted text safe to print, and text for people fit the terminal.

use std::io::Write;

use textwrap::core::display_width;

/// The text without control characters: the output of a tool, a server or a file cannot move the cursor, colour the
/// screen, or reorder characters.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if is_obeyed(c) { '\u{fffd}' } else { c }).collect()
}

/// JSON that a terminal shows as it is: control characters that JSON allows in strings are escaped.
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

/// Whether a terminal interprets the character instead of showing it.
fn is_obeyed(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    // Invalid in XML, even escaped.
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

/// The text without its middle when it has more characters than `head` and `tail` together.
pub fn cut_middle(text: &str, head: usize, tail: usize) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= head + tail {
        return text.to_owned();
    }
    let part = |letters: &[char]| letters.iter().collect::<String>();
    format!("{} … {}", part(&letters[..head]), part(&letters[letters.len() - tail..]))
}

/// `1 change`, `2 changes`.
pub fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// A reason in at most `width` characters. A list with commas keeps its last parts, because a reason goes from the general
/// to the specific; what is still too long is cut.
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

/// With fewer columns beside its mark, a text goes below it.
const BESIDE: usize = 24;
/// The indent of a text below its mark.
const UNDER: &str = "    ";
/// A terminal that reports fewer columns does not know its width.
const NARROWEST: usize = 20;

/// The text after a mark, wrapped at `width` columns with a hanging indent. A word that is longer than a line, such as an
/// address, stays whole, so that it can be copied. Where a wide mark leaves little room, the text goes below it.
pub fn paragraph(mark: &str, text: &str, width: usize) -> String {
    let columns = display_width(mark);
    if columns <= UNDER.len() || width.saturating_sub(columns) >= BESIDE {
        return broken(mark, &" ".repeat(columns), text, width);
    }
    let word = mark.trim();
    // The line belongs to the one above.
    if mark.starts_with(' ') {
        let mark = if word.is_empty() { UNDER.to_owned() } else { format!("{UNDER}{word} ") };
        return broken(&mark, UNDER, text, width);
    }
    format!("{}\n{}", fitted(word, width), broken(UNDER, UNDER, text, width))
}

/// The text with each line wrapped at `width` columns; continuation lines are indented further.
pub fn fitted(text: &str, width: usize) -> String {
    let fit = |line: &str| {
        if display_width(line) <= width {
            return line.to_owned();
        }
        let indent = " ".repeat(line.len() - line.trim_start_matches(' ').len());
        broken(&indent, &format!("{indent}  "), line.trim_start_matches(' '), width)
    };
    text.split('\n').map(fit).collect::<Vec<_>>().join("\n")
}

/// The words of a text in lines of at most `width` columns, or ten; a word that is longer than a line is broken too.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    textwrap::wrap(&text, options(width.max(10))).into_iter().map(Into::into).collect()
}

fn broken(first: &str, rest: &str, text: &str, width: usize) -> String {
    textwrap::fill(text, options(width).initial_indent(first).subsequent_indent(rest).break_words(false))
}

fn options<'a>(width: usize) -> textwrap::Options<'a> {
    let options = textwrap::Options::new(width).word_splitter(textwrap::WordSplitter::NoHyphenation);
    options.wrap_algorithm(textwrap::WrapAlgorithm::FirstFit)
}

/// The width of the terminal on standard output; `None` if it is not a terminal.
pub fn width() -> Option<usize> {
    width_of(&console::Term::stdout())
}

/// The width of the terminal on standard error.
pub fn width_of_errors() -> Option<usize> {
    width_of(&console::Term::stderr())
}

fn width_of(terminal: &console::Term) -> Option<usize> {
    terminal.is_term().then(|| usize::from(terminal.size().1)).filter(|columns| *columns >= NARROWEST)
}

/// A paragraph if there is a width, otherwise one line of any length.
pub fn wrapped(mark: &str, text: &str, width: Option<usize>) -> String {
    match width {
        Some(width) if text.is_empty() => format!("{}\n", fitted(mark.trim_end(), width)),
        Some(width) => format!("{}\n", paragraph(mark, text, width)),
        None => format!("{mark}{text}\n"),
    }
}

/// Says something to the user, in lines that fit the terminal.
pub fn say(text: &str) {
    let text = width_of_errors().map_or_else(|| text.to_owned(), |width| fitted(text, width));
    let _ = writeln!(anstream::stderr().lock(), "{text}");
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
    fn a_reason_keeps_its_specific_end() {
        let reason = "phase is Deploying, virt-api: 0 of 2 ready, image is pulled";
        assert_eq!(cut_front(reason, 80), reason);
        assert_eq!(cut_front(reason, 50), "… virt-api: 0 of 2 ready, image is pulled");
        assert_eq!(cut_front(reason, 20), "… image is pulled");
        assert_eq!(cut_front(reason, 10), "… image i…");
    }

    #[test]
    fn in_a_narrow_terminal_a_text_goes_below_a_wide_mark() {
        let (mark, text) = ("BROKEN  open-vswitch   ", "it does not answer, and what else there is");
        assert_eq!(
            paragraph(mark, text, 40),
            "BROKEN  open-vswitch\n    it does not answer, and what else\n    there is"
        );
        assert!(paragraph(mark, text, 80).starts_with("BROKEN  open-vswitch   it does"));
        assert_eq!(paragraph(&format!("{:25}", ""), "one two", 40), "    one two");
        assert_eq!(paragraph(&format!("{:23}hint: ", ""), "one two", 40), "    hint: one two");
    }

    #[test]
    fn a_wide_line_is_wrapped_and_indented() {
        let text = "error: one two three\n  hint: four five six\n\n  https://example.org/long end\n";
        assert_eq!(
            fitted(text, 16),
            "error: one two\n  three\n  hint: four\n    five six\n\n  https://example.org/long\n    end\n"
        );
        assert_eq!(fitted(text, 80), text);
    }

    #[test]
    fn a_paragraph_goes_beside_its_mark() {
        assert_eq!(paragraph("! ", "one two three", 9), "! one two\n  three");
        assert_eq!(
            paragraph("\u{1b}[31m✗\u{1b}[0m ", "a https://example.org/long", 8),
            "\u{1b}[31m✗\u{1b}[0m a\n  https://example.org/long"
        );
    }
}

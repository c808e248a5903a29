//! A line that is being typed.

/// The characters and the place of the cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    characters: Vec<char>,
    cursor: usize,
}

/// A change to the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Inserts a character.
    Insert(char),
    /// Removes the character before the cursor.
    Backspace,
    /// Removes the character at the cursor.
    Delete,
    /// Removes all before the cursor.
    Kill,
    /// Removes the word before the cursor.
    KillWord,
    /// Moves the cursor.
    Left,
    /// Moves the cursor.
    Right,
    /// Moves the cursor to the beginning.
    Home,
    /// Moves the cursor to the end.
    End,
}

impl Line {
    pub fn text(&self) -> String {
        self.characters.iter().collect()
    }

    /// Replaces the text; the cursor goes to its end.
    pub fn replace(&mut self, text: &str) {
        self.characters = text.chars().collect();
        self.cursor = self.characters.len();
    }

    /// Changes the line.
    pub fn edit(&mut self, edit: Edit) {
        let before = self.cursor.saturating_sub(1);
        match edit {
            Edit::Insert(c) => {
                self.characters.insert(self.cursor, c);
                self.cursor += 1;
            }
            Edit::Backspace if self.cursor > 0 => {
                self.characters.remove(before);
                self.cursor = before;
            }
            Edit::Delete if self.cursor < self.characters.len() => {
                self.characters.remove(self.cursor);
            }
            Edit::Kill => self.cut_from(0),
            Edit::KillWord => self.cut_from(self.start_of_word()),
            Edit::Left => self.cursor = before,
            Edit::Right => self.cursor = (self.cursor + 1).min(self.characters.len()),
            Edit::Home => self.cursor = 0,
            Edit::End => self.cursor = self.characters.len(),
            Edit::Backspace | Edit::Delete => {}
        }
    }

    /// The part that fits into so many columns, and the cursor's distance from its end. The cursor is always visible.
    pub fn visible(&self, columns: usize) -> (String, usize) {
        let columns = columns.max(2);
        let start = (self.cursor + 1).saturating_sub(columns);
        let shown: Vec<char> = self.characters.iter().skip(start).take(columns - 1).copied().collect();
        let behind = shown.len() - (self.cursor - start);
        (shown.into_iter().collect(), behind)
    }

    fn cut_from(&mut self, start: usize) {
        self.characters.drain(start..self.cursor);
        self.cursor = start;
    }

    fn start_of_word(&self) -> usize {
        let is_part = |c: &char| c.is_alphanumeric();
        let before = &self.characters[..self.cursor];
        let end = before.iter().rposition(is_part).map_or(0, |place| place + 1);
        before[..end].iter().rposition(|c| !is_part(c)).map_or(0, |place| place + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(edits: &[Edit]) -> Line {
        let mut line = Line::default();
        line.replace("red, blue");
        for edit in edits {
            line.edit(*edit);
        }
        line
    }

    #[test]
    fn keys_change_the_line_where_the_cursor_is() {
        for (edits, text) in [
            (&[Edit::Backspace, Edit::Insert('x')][..], "red, blux"),
            (&[Edit::Home, Edit::Delete, Edit::Insert('R')], "Red, blue"),
            (&[Edit::KillWord, Edit::Insert('x')], "red, x"),
            (&[Edit::Left, Edit::Kill], "e"),
            (&[Edit::Home, Edit::Left, Edit::Backspace, Edit::KillWord], "red, blue"),
            (&[Edit::End, Edit::Right, Edit::Delete], "red, blue"),
        ] {
            assert_eq!(typed(edits).text(), text, "{edits:?}");
        }
    }

    #[test]
    fn a_long_line_shows_the_part_around_the_cursor() {
        assert_eq!(typed(&[]).visible(20), ("red, blue".into(), 0));
        assert_eq!(typed(&[]).visible(5), ("blue".into(), 0));
        assert_eq!(typed(&[Edit::Home]).visible(5), ("red,".into(), 4));
        assert_eq!(typed(&[Edit::Left]).visible(5), (" blu".into(), 0));
    }
}

//! Where a line is broken.

use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm, fill};

/// A line broken at spaces, so that it fits `width` columns if its words do. It begins in the column `begin`;
/// the lines after it are indented.
pub(super) fn broken(line: &str, width: usize, begin: usize, indent: usize) -> String {
    let (first, others) = (" ".repeat(begin), " ".repeat(indent));
    let options = Options::new(width)
        .initial_indent(&first)
        .subsequent_indent(&others)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    // A line of blanks alone comes back without them.
    fill(line, options).get(begin..).unwrap_or_default().to_owned()
}

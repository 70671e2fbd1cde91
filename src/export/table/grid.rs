//! Cells in columns: as wide as they are, or wrapped to fit a terminal.
//!
//! Road taken: all cells in one text, and where nothing wraps the lines are put together here. Wrapping is comfy-table's, and so is
//! the width of what is not ASCII. Road not taken: comfy-table for all; it keeps each cell as a list of lines three times over, which
//! for twenty thousand rows were thirty megabytes and, with the making of its cells, three and a half times as many instructions.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::fit;

/// A table in the making. Columns are two spaces apart.
#[derive(Debug)]
pub(super) struct Grid {
    /// Columns that are aligned to the right.
    right: [usize; 3],
    /// All cells, row after row, the header first.
    text: String,
    /// Where each of them ends.
    ends: Vec<usize>,
    /// The cell in the making.
    cell: String,
}

/// Columns.
const COLUMNS: usize = 9;

impl Grid {
    pub(super) fn new(header: [&str; COLUMNS], right: [usize; 3]) -> Self {
        let mut grid = Self { right, text: String::new(), ends: Vec::new(), cell: String::new() };
        header.into_iter().for_each(|name| grid.cell(name));
        grid
    }

    /// Adds a cell.
    pub(super) fn cell(&mut self, text: &str) {
        self.text.push_str(&fit(text));
        self.ends.push(self.text.len());
    }

    /// Adds a cell that is written in parts.
    pub(super) fn write(&mut self, write: impl FnOnce(&mut String)) {
        let mut cell = std::mem::take(&mut self.cell);
        cell.clear();
        write(&mut cell);
        self.cell(&cell);
        self.cell = cell;
    }

    /// The lines, each column as wide as its widest cell.
    pub(super) fn plain(&self) -> String {
        let mut widths = [0; COLUMNS];
        for (cell, widest) in self.cells().zip((0..COLUMNS).cycle()) {
            if let Some(widest) = widths.get_mut(widest) {
                *widest = width(cell).max(*widest);
            }
        }
        let mut out = String::new();
        for (cell, (column, widest)) in self.cells().zip(widths.into_iter().enumerate().cycle()) {
            let pad = widest.saturating_sub(width(cell));
            let (left, right) = if self.right.contains(&column) { (pad, 0) } else { (0, pad) };
            out.extend(std::iter::repeat_n(' ', left));
            out.push_str(cell);
            if column + 1 < COLUMNS {
                out.extend(std::iter::repeat_n(' ', right + 2));
            } else {
                out.push('\n');
            }
        }
        out
    }

    /// The lines, cells wrapped so that they fit `width` columns.
    pub(super) fn fitted(&self, width: usize) -> String {
        let cells: Vec<&str> = self.cells().collect();
        let mut rows = cells.chunks(COLUMNS);
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(rows.next().unwrap_or_default());
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(u16::try_from(width).unwrap_or(u16::MAX));
        if let Some(first) = table.column_mut(0) {
            first.set_padding((0, 1));
        }
        for column in self.right {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.add_rows(rows);
        let mut text = String::new();
        for line in table.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn cells(&self) -> impl Iterator<Item = &str> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| self.text.get(begin..*end).unwrap_or_default())
    }
}

/// Columns of a terminal that a text takes.
fn width(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    let mut table = Table::new();
    table.add_row([text]);
    table.column_max_content_widths().first().copied().unwrap_or_default().into()
}

//! An analysis as a document that people keep: one HTML file, Markdown, LaTeX, tables. Pure: what is told was computed by
//! `sweep-analysis`, and nothing is computed here again. No network, no clock, no file.

"""From results to what people keep: folder, statistics, table, figures, page."""

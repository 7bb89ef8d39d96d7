"""The terminal, through rich. The only package that knows it; data is shown as `Text`, never read as markup."""

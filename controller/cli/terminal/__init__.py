"""Terminal output, the only package that uses rich. Data is printed as `Text` and never interpreted as markup."""

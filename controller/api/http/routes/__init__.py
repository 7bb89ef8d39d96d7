"""What can be asked, one file a noun. Answers are views of `controller.queries`; changes go to `Operations`."""

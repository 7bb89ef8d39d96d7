"""What can be asked, one file a noun. Answers are views of `controller.views`; changes go to `Operations`."""

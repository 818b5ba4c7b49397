"""What changes in the conf folder and the task folders, and how that is noticed."""

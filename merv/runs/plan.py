"""`--plan`: what a run would do, without doing any of it."""

"""Many broker processes on one database: who there is, who does what, and what they tell each other."""

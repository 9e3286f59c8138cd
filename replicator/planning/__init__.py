"""What a run and a switch would change in either cloud, told before anything is."""

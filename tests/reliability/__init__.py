"""Whether a 200 is kept: a SuperOffice that gives up, faults while it posts, and the reckoning."""

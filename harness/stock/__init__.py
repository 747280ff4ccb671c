"""Stock installs: every release of a framework as people got it on its day, and for how many days that was wrong."""

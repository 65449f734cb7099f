"""Four providers' registries become one, in ten steps that can be shown, run, resumed and run again."""

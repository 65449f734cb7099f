"""What has failed, given what was and what was not heard: evidence, exact inference, conclusions."""

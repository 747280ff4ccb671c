"""What every adapter stands on inside an environment: ranks, template process, recorder, patches, stand-ins."""

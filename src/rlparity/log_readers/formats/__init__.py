"""Read one format each: files to series, unchecked."""

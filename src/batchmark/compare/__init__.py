"""Measures of jobs and what they say about targets. Pure: values in, figures out, each with its unit, its clock and its n."""

"""The second telling of the story: folders follow the packages of src/cardrail, names of tests are sentences."""

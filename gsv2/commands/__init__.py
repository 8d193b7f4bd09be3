"""Groups of commands below `gsv2`: one module a group."""

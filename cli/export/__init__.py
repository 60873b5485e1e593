"""`dimos-record export FORMAT`: one file per format beside this one."""

"""What users call: the block, the decorator and the manager."""

"""Any Python value as data that strict JSON can hold, and the file formats that a suffix stands for."""

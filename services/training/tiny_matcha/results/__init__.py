"""How good the chart model is: scores on held-out charts and outside its range, and its card."""

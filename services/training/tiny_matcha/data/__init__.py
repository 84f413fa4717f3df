"""What the chart model is trained on: charts, their images, and questions about them."""

"""What a side, a user or an item, brings to an interaction function: embeddings, histories, element-wise networks."""

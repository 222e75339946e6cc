"""From numbers to what people look at: tables, contact sheets, figures, MLflow."""

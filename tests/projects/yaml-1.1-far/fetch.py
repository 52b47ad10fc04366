import charts

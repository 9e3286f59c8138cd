"""The part of the query language that the server understands; everything else is a 400.

    SELECT [TOP n] * | VALUE expression | expression [AS name], …
    FROM alias [WHERE condition] [ORDER BY path [ASC|DESC], …] [OFFSET n LIMIT n]

Expressions: literals, @parameters, alias.path and alias["name"], COUNT(1), comparisons, AND, OR,
NOT, IN, arrays, objects, IS_DEFINED, IS_NULL, STARTSWITH, ENDSWITH, CONTAINS, ARRAY_CONTAINS.
"""

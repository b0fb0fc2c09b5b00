using Npgsql;
using NpgsqlTypes;

namespace Gradus.Persistence;

/// <summary>Writes the rows of a dataset by binary COPY.</summary>
public static class DatasetRows
{
    /// <param name="rows">The text of one JSON object each, in order.</param>
    /// <returns>How many characters the database cannot hold were replaced.</returns>
    public static async Task<int> CopyAsync(NpgsqlConnection connection, string datasetId, IEnumerable<string> rows, CancellationToken cancellationToken)
    {
        var replaced = 0;
        var index = 0;
        await using var copy = await connection.BeginBinaryImportAsync("copy dataset_rows (dataset_id, index, content) from stdin (format binary)", cancellationToken);
        foreach (var row in rows)
        {
            await copy.StartRowAsync(cancellationToken);
            await copy.WriteAsync(datasetId, NpgsqlDbType.Text, cancellationToken);
            await copy.WriteAsync(index++, NpgsqlDbType.Integer, cancellationToken);
            await copy.WriteAsync(PostgresText.CleanJson(row, ref replaced), NpgsqlDbType.Jsonb, cancellationToken);
        }

        await copy.CompleteAsync(cancellationToken);
        return replaced;
    }
}

using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Npgsql;
using NpgsqlTypes;

namespace Gradus.Persistence;

/// <summary>Datasets: made whole or not at all, read by page, deleted when nothing needs them.</summary>
public sealed class DatasetStore(IDbContextFactory<GradusDb> databases, NpgsqlDataSource source)
{
    private const int Piece = 4 << 20;

    /// <summary>Newest first.</summary>
    /// <exception cref="UnknownCursorException"/>
    public async Task<IReadOnlyList<Dataset>> ListAsync(PageRequest page, CancellationToken cancellationToken)
    {
        await using var database = await databases.CreateDbContextAsync(cancellationToken);
        var datasets = database.Datasets.AsNoTracking().AsQueryable();
        if (page.After is { } after)
        {
            var last = await datasets.Where(dataset => dataset.Id == after).Select(dataset => new { dataset.CreatedAt }).FirstOrDefaultAsync(cancellationToken) ?? throw new UnknownCursorException(after);
            datasets = datasets.Where(dataset => dataset.CreatedAt < last.CreatedAt || (dataset.CreatedAt == last.CreatedAt && string.Compare(dataset.Id, after) < 0));
        }
        return await datasets.OrderByDescending(dataset => dataset.CreatedAt).ThenByDescending(dataset => dataset.Id).Take(page.Limit + 1).ToListAsync(cancellationToken);
    }

    /// <summary>The dataset of that id, or else the newest upload of that name; null where there is neither.</summary>
    public async Task<Dataset?> FindAsync(string idOrName, CancellationToken cancellationToken)
    {
        await using var database = await databases.CreateDbContextAsync(cancellationToken);
        return await database.Datasets.AsNoTracking().Where(dataset => dataset.Id == idOrName || (dataset.Name == idOrName && dataset.JobId == null && !dataset.BuiltIn))
            .OrderByDescending(dataset => dataset.Id == idOrName).ThenByDescending(dataset => dataset.CreatedAt).ThenByDescending(dataset => dataset.Id).FirstOrDefaultAsync(cancellationToken);
    }

    /// <summary>Rows in their order, from the one after <paramref name="after"/> (-1: from the first).</summary>
    public async Task<IReadOnlyList<DatasetRow>> RowsAsync(string id, int after, int limit, CancellationToken cancellationToken)
    {
        await using var database = await databases.CreateDbContextAsync(cancellationToken);
        return await database.DatasetRows.AsNoTracking().Where(row => row.DatasetId == id && row.Index > after).OrderBy(row => row.Index).Take(limit + 1).ToListAsync(cancellationToken);
    }

    /// <summary>The longest of the first 10,000 rows, the longest first, and the mean length of those 10,000; lengths in bytes, as JSON.</summary>
    public async Task<(IReadOnlyList<(JsonElement Content, int Bytes)> Longest, double MeanBytes)> LengthsAsync(string id, int count, CancellationToken cancellationToken)
    {
        await using var connection = await source.OpenConnectionAsync(cancellationToken);
        var rows = await connection.Statement("""
            with first as (select content::text as row from dataset_rows where dataset_id = $1 order by index limit 10000)
            select row, octet_length(row), (select avg(octet_length(row))::float8 from first) from first order by octet_length(row) desc limit $2
            """, id, count).ListAsync(reader => (Content: JsonElement.Parse(reader.GetString(0)), Bytes: reader.GetInt32(1), Mean: reader.GetDouble(2)), cancellationToken);
        return ([.. rows.Select(row => (row.Content, row.Bytes))], rows.Count == 0 ? 0 : rows[0].Mean);
    }

    /// <summary>Makes a dataset in one transaction.</summary>
    /// <param name="rows">The text of one JSON object each.</param>
    /// <param name="original">The upload's bytes, kept as they are; null where there was none.</param>
    public async Task<Dataset> CreateAsync(string name, IEnumerable<string> rows, Stream? original, CancellationToken cancellationToken)
    {
        var id = Identifier.New("file");
        await using var connection = await source.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await InsertAsync(connection, id, name, builtIn: false, rows, cancellationToken);
        if (original is not null) await KeepAsync(connection, id, original, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return (await FindAsync(id, cancellationToken))!;
    }

    /// <summary>Makes a built-in dataset under its fixed id where it is not there yet; processes that start together do it once.</summary>
    /// <returns>Whether it was made now.</returns>
    public async Task<bool> EnsureBuiltInAsync(string id, string name, Func<IEnumerable<string>> rows, CancellationToken cancellationToken)
    {
        if ((await FindAsync(id, cancellationToken))?.Id == id) return false;
        await using var connection = await source.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await BuiltInLock.TakeAsync(connection, cancellationToken);
        if ((await FindAsync(id, cancellationToken))?.Id == id) return false;
        await InsertAsync(connection, id, name, builtIn: true, rows(), cancellationToken);
        await transaction.CommitAsync(cancellationToken);
        return true;
    }

    /// <summary>Writes an upload's bytes as they came.</summary>
    /// <returns>False where none were kept.</returns>
    public async Task<bool> CopyOriginalAsync(string id, Stream target, CancellationToken cancellationToken)
    {
        await using var connection = await source.OpenConnectionAsync(cancellationToken);
        for (var index = 0; ; index++)
        {
            var piece = await connection.Statement("select bytes from dataset_bytes where dataset_id = $1 and index = $2", id, index)
                .ListAsync(reader => reader.GetFieldValue<byte[]>(0), cancellationToken);
            if (piece is not [var bytes]) return index > 0;
            await target.WriteAsync(bytes, cancellationToken);
        }
    }

    /// <summary>Deletes a dataset with its rows, unless it is built in or a job that has not ended names it.</summary>
    public async Task<Deletion> DeleteAsync(string id, CancellationToken cancellationToken)
    {
        await using var connection = await source.OpenConnectionAsync(cancellationToken);
        return await Deletion.RunAsync(connection, "datasets", "dataset_id", id, [id], cancellationToken);
    }

    private static async Task InsertAsync(NpgsqlConnection connection, string id, string name, bool builtIn, IEnumerable<string> rows, CancellationToken cancellationToken)
    {
        await connection.Statement("insert into datasets (id, name, row_count, built_in) values ($1, $2, 0, $3)", id, name, builtIn).ExecuteAsync(cancellationToken);
        await DatasetRows.CopyAsync(connection, id, rows, cancellationToken);
        await connection.Statement("update datasets set row_count = (select count(*) from dataset_rows where dataset_id = $1) where id = $1", id).ExecuteAsync(cancellationToken);
    }

    private static async Task KeepAsync(NpgsqlConnection connection, string id, Stream original, CancellationToken cancellationToken)
    {
        var buffer = new byte[Piece];
        var (index, total) = (0, 0L);
        await using (var copy = await connection.BeginBinaryImportAsync("copy dataset_bytes (dataset_id, index, bytes) from stdin (format binary)", cancellationToken))
        {
            int count;
            while ((count = await original.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellationToken)) > 0)
            {
                await copy.StartRowAsync(cancellationToken);
                await copy.WriteAsync(id, NpgsqlDbType.Text, cancellationToken);
                await copy.WriteAsync(index++, NpgsqlDbType.Integer, cancellationToken);
                await copy.WriteAsync(buffer.AsMemory(0, count), NpgsqlDbType.Bytea, cancellationToken);
                total += count;
            }
            await copy.CompleteAsync(cancellationToken);
        }
        await connection.Statement("update datasets set byte_count = $2 where id = $1", id, total).ExecuteAsync(cancellationToken);
    }
}

using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace Gradus.Persistence;

/// <summary>
/// Models by id or by alias. The name of a recipe is an alias of the newest result: the last model of the newest run of a recipe of that name
/// whose jobs have all succeeded. The name of an imported model is an alias of the newest of that name. An id comes before an alias, a recipe before a name.
/// </summary>
public sealed class ModelCatalog(IDbContextFactory<GradusDb> databases, NpgsqlDataSource source)
{
    /// <summary>Newest first.</summary>
    /// <exception cref="UnknownCursorException"/>
    public async Task<IReadOnlyList<Model>> ListAsync(PageRequest page, CancellationToken cancellationToken)
    {
        await using var database = await databases.CreateDbContextAsync(cancellationToken);
        var models = database.Models.AsNoTracking().AsQueryable();
        if (page.After is { } after)
        {
            var last = await models.Where(model => model.Id == after).Select(model => new { model.CreatedAt }).FirstOrDefaultAsync(cancellationToken) ?? throw new UnknownCursorException(after);
            models = models.Where(model => model.CreatedAt < last.CreatedAt || (model.CreatedAt == last.CreatedAt && string.Compare(model.Id, after) < 0));
        }
        return await models.OrderByDescending(model => model.CreatedAt).ThenByDescending(model => model.Id).Take(page.Limit + 1).ToListAsync(cancellationToken);
    }

    /// <summary>The model of that id or alias; null where there is none.</summary>
    public async Task<Model?> FindAsync(string idOrAlias, CancellationToken cancellationToken)
    {
        await using var database = await databases.CreateDbContextAsync(cancellationToken);
        if (await database.Models.AsNoTracking().FirstOrDefaultAsync(model => model.Id == idOrAlias, cancellationToken) is { } model) return model;
        var aliased = (await AliasesAsync(idOrAlias, cancellationToken)).Keys.FirstOrDefault();
        return aliased is null ? null : await database.Models.AsNoTracking().FirstOrDefaultAsync(found => found.Id == aliased, cancellationToken);
    }

    /// <summary>The aliases in force: model id to alias.</summary>
    public Task<IReadOnlyDictionary<string, string>> AliasesAsync(CancellationToken cancellationToken) => AliasesAsync(null, cancellationToken);

    /// <summary>Makes a built-in model's row under its fixed id, or corrects its folder; processes that start together do it once.</summary>
    /// <param name="write">Writes the folder; called under the lock, and only where <paramref name="folder"/> is not there.</param>
    /// <param name="details">Makes a JSON object of the folder.</param>
    public async Task EnsureBuiltInAsync(string id, string name, string folder, Func<string, string> details, Action<string> write, CancellationToken cancellationToken)
    {
        await using var connection = await source.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        await BuiltInLock.TakeAsync(connection, cancellationToken);
        if (!Directory.Exists(folder))
        {
            // Written aside and renamed: a folder of that name is a whole one.
            var aside = folder + ".new";
            if (Directory.Exists(aside)) Directory.Delete(aside, recursive: true);
            Directory.CreateDirectory(Path.GetDirectoryName(folder)!);
            write(aside);
            Directory.Move(aside, folder);
        }
        await connection.Statement("""
            insert into models (id, name, folder, details, built_in) values ($1, $2, $3, $4::jsonb, true)
            on conflict (id) do update set name = excluded.name, folder = excluded.folder, details = excluded.details
            """, id, name, folder, details(folder)).ExecuteAsync(cancellationToken);
        await transaction.CommitAsync(cancellationToken);
    }

    /// <summary>Makes an imported model's row; from here on it is listed.</summary>
    /// <param name="details">A JSON object.</param>
    /// <param name="laidOn">Of an adapter: its base, which nobody deletes meanwhile.</param>
    /// <returns>Null, and nothing was written, where that base is gone.</returns>
    public async Task<Model?> AddAsync(string id, string name, string folder, string details, string? laidOn, CancellationToken cancellationToken)
    {
        await using (var connection = await source.OpenConnectionAsync(cancellationToken))
        {
            await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
            if (laidOn is not null && (await connection.Statement("select id from models where id = $1 for share", laidOn).ListAsync(reader => reader.GetString(0), cancellationToken)).Count == 0) return null;
            var replaced = 0;
            await connection.Statement("insert into models (id, name, folder, details) values ($1, $2, $3, $4::jsonb)", id, name, folder, PostgresText.CleanJson(details, ref replaced))
                .ExecuteAsync(cancellationToken);
            await transaction.CommitAsync(cancellationToken);
        }
        return (await FindAsync(id, cancellationToken))!;
    }

    /// <summary>Deletes a model's row, unless it is built in or a job that has not ended names it. The folder is the caller's to delete.</summary>
    public async Task<Deletion> DeleteAsync(string id, CancellationToken cancellationToken)
    {
        string[] names = (await AliasesAsync(null, cancellationToken)).TryGetValue(id, out var alias) ? [id, alias] : [id];
        await using var connection = await source.OpenConnectionAsync(cancellationToken);
        return await Deletion.RunAsync(connection, "models", "model_id", id, names, cancellationToken);
    }

    private async Task<IReadOnlyDictionary<string, string>> AliasesAsync(string? only, CancellationToken cancellationToken)
    {
        await using var connection = await source.OpenConnectionAsync(cancellationToken);
        var rows = await connection.Statement("""
            select distinct on (alias) alias, model_id from (
                select r.recipe ->> 'name' as alias, j.model_id, 0 as rank, r.created_at, r.id as maker, j.position
                from runs r join jobs j on j.run_id = r.id and j.model_id is not null
                where r.recipe ->> 'name' is not null and not exists (select 1 from jobs open where open.run_id = r.id and open.status <> 'succeeded')
                union all
                select name, id, 1, created_at, id, 0 from models where job_id is null and not built_in) named
            where ($1::text is null or alias = $1) and not exists (select 1 from models where id = alias)
            order by alias, rank, created_at desc, maker desc, position desc
            """, only).ListAsync(reader => (Alias: reader.GetString(0), Model: reader.GetString(1)), cancellationToken);
        return rows.GroupBy(row => row.Model).ToDictionary(row => row.Key, row => row.First().Alias);
    }
}

using System.Text.Json.Nodes;
using Gradus.Api.Models;
using Gradus.Persistence;
using Gradus.Training.Model;
using Gradus.Training.Tasks;
using Npgsql;

namespace Gradus.Api.Operations;

/// <summary>
/// What must stand before the first request: the tables, the built-in datasets and the model <c>tiny</c>. Processes that start together do each once. The
/// service listens when it is done.
/// </summary>
internal sealed class Preparation(Migrator migrator, DatasetStore datasets, ModelCatalog models, StateFolders folders, TimeProvider time, ILogger<Preparation> log) : IHostedService
{
    private static readonly TimeSpan patience = TimeSpan.FromSeconds(30);

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        var began = time.GetTimestamp();
        await MigrateAsync(began, cancellationToken);
        foreach (var dataset in BuiltIn.Datasets)
            if (await datasets.EnsureBuiltInAsync(dataset.Id, dataset.Name, () => dataset.Rows().Select(row => row.GetRawText()), cancellationToken))
                log.LogInformation("The built-in dataset {Dataset} was stored", dataset.Id);
        PrepareFolder();
        await models.EnsureBuiltInAsync(TinyModel.Id, "Tiny, untrained", Path.Combine(folders.Models, TinyModel.Id), DetailsOf, TinyModel.Write, cancellationToken);
        await ImportPlace.SweepAsync(folders, async id => await models.FindAsync(id, cancellationToken) is not null);
        log.LogInformation("The database and the built-in objects were ready after {Seconds:0.0} s", time.GetElapsedTime(began).TotalSeconds);
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    private static string DetailsOf(string folder)
    {
        var details = JsonObject.Create(ModelDescription.Read(folder).ToJson())!;
        details["description"] = "Configuration, tokenizer and chat template of the tiny recipes' models, with random weights; train it by the stage pretrain.";
        return details.ToJsonString();
    }

    private async Task MigrateAsync(long began, CancellationToken cancel)
    {
        while (true)
        {
            try
            {
                foreach (var name in await migrator.ApplyAsync(cancel)) log.LogInformation("The migration {Migration} was applied", name);
                return;
            }
            catch (NpgsqlException away) when (away.IsTransient && time.GetElapsedTime(began) < patience)
            {
                log.LogWarning("The database did not answer and is tried again: {Reason}", away.Message);
                await Task.Delay(TimeSpan.FromSeconds(1), time, cancel);
            }
            catch (Exception refused) when (refused is NpgsqlException or InvalidOperationException)
            {
                throw new SettingsException($"The database of ConnectionStrings:Gradus cannot be used: {refused.Message}");
            }
        }
    }

    private void PrepareFolder()
    {
        try
        {
            Directory.CreateDirectory(folders.Models);
            Directory.CreateDirectory(folders.Imports);
            // An upload's file goes when it is closed; a process that was killed leaves it.
            foreach (var file in Directory.CreateDirectory(folders.Uploads).EnumerateFiles())
                if (file.LastWriteTimeUtc < time.GetUtcNow().UtcDateTime.AddDays(-1)) file.Delete();
        }
        catch (Exception refused) when (refused is IOException or UnauthorizedAccessException)
        {
            throw new SettingsException($"The folder of Gradus:StateFolder cannot be used: {refused.Message}");
        }
    }
}

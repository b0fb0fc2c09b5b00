using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Api.Chat;
using Gradus.Persistence;
using Gradus.Training;
using Gradus.Training.Export;
using Gradus.Training.Grpo;
using Gradus.Training.Lora;
using Gradus.Training.Model;
using Gradus.Training.Recipes;
using Gradus.Training.Sft;
using Gradus.Training.Stages;

namespace Gradus.Api.Jobs;

/// <summary>
/// Checks a job or a recipe whole, then queues it and wakes a worker. Nothing is written when anything is wrong. A model's alias is replaced by the id it
/// stands for now: a later attempt must not find another model under it.
/// </summary>
internal sealed class Submission(JobStore jobs, RunQueries runs, ModelCatalog models, DatasetStore datasets, DeviceFit fit, IJobDispatcher dispatcher)
{
    private const long MostSeed = 1L << 53;

    /// <summary>A run of one job.</summary>
    public async Task<Run> JobAsync(JobRequest request, CancellationToken cancel)
    {
        var seed = Seed(request.Seed) ?? 1;
        var name = Name(request.Name) ?? request.Stage;
        var attempts = request.MaxAttempts ?? 3;
        if (attempts is < 1 or > 100) throw new InvalidInputException($"'max_attempts' must be a whole number from 1 to 100, not {attempts}.", "max_attempts", "out_of_range");
        var parsed = StageOptions.Parse(request.Stage, request.Options);
        if (parsed.References.FirstOrDefault(reference => reference.From is not null) is { } from)
            throw new InvalidInputException($"'{from.Path}' refers to the stage '{from.From}', but a job has no other stages; give an id, or POST a recipe to /v1/runs.", from.Path, "invalid_reference");
        var (options, model) = await PinAsync(request.Options, "options", parsed, [], cancel);
        var outlook = await fit.LookAsync(parsed, "options", model, cancel);
        var recipe = JsonSerializer.SerializeToElement(new JsonObject
        {
            ["stages"] = new JsonArray(new JsonObject { ["name"] = request.Stage, ["stage"] = request.Stage, ["options"] = JsonNode.Parse(options.GetRawText()) }),
        });
        return await QueueAsync(new NewRun(name, recipe, seed, [Job(request.Stage, request.Stage, options, seed, outlook, attempts)]), cancel);
    }

    /// <summary>A run of a whole recipe.</summary>
    public async Task<Run> RunAsync(RunRequest request, CancellationToken cancel)
    {
        var json = request.Recipe;
        if (json.ValueKind == JsonValueKind.String)
            json = ShippedRecipes.All.TryGetValue(json.GetString()!, out var shipped) ? shipped
                : throw new InvalidInputException($"There is no recipe '{json.GetString()}'; there are {string.Join(", ", ShippedRecipes.All.Keys)}.", "recipe", "unknown_value");
        var recipe = Recipe.Parse(json, "recipe");
        var seed = Seed(request.Seed) ?? recipe.Seed;
        List<NewJob> stages = [];
        Dictionary<string, KnownModel?> known = [];
        foreach (var (stage, place) in recipe.Stages.Select((stage, place) => (stage, place)))
        {
            var path = $"recipe.stages[{place}].options";
            var (options, model) = await PinAsync(stage.Json, path, stage.Options, known, cancel);
            known[stage.Name] = model is null ? null : model with { AdapterWeights = StageMemory.AdapterWeights(stage.Options, model.Config) ?? model.AdapterWeights };
            stages.Add(Job(stage.Name, stage.Stage, options, Recipe.StageSeed(seed, stage.Name), await fit.LookAsync(stage.Options, path, model, cancel)));
        }
        return await QueueAsync(new NewRun(Name(request.Name) ?? recipe.Name, json, seed, stages), cancel);
    }

    private async Task<Run> QueueAsync(NewRun run, CancellationToken cancel)
    {
        var (id, _) = await jobs.CreateAsync(run, cancel);
        // If we stop here the run is queued all the same: the worker's sweep finds it.
        await dispatcher.LookAsync(CancellationToken.None);
        return (await runs.RunAsync(id, cancel))!;
    }

    private static NewJob Job(string name, string stage, JsonElement options, long seed, StageOutlook outlook, int attempts = 3) =>
        new(name, stage, options, seed, attempts) { Estimate = outlook.Estimate, Warnings = outlook.Warnings };

    /// <param name="known">Of what the earlier stages make, by their names, as far as known.</param>
    /// <returns>The options with ids, and the shape of the model that the stage computes with, where it is known.</returns>
    private async Task<(JsonElement Options, KnownModel? Model)> PinAsync(
        JsonElement options, string path, StageOptions parsed, Dictionary<string, KnownModel?> known, CancellationToken cancel)
    {
        JsonNode? pinned = null;
        var used = parsed.References.FirstOrDefault(reference => reference.Kind == Artifact.Model)?.From is { } from && parsed is not PretrainOptions { Config: not null } ? known.GetValueOrDefault(from) : null;
        foreach (var reference in parsed.References.Where(reference => reference.Id is not null))
        {
            string? id;
            if (reference.Kind == Artifact.Model)
            {
                var model = await models.FindAsync(reference.Id!, cancel);
                if (model is not null) used = await UseAsync(parsed, model, cancel);
                if (model is not null && parsed is ExportOptions export) export.Require(model.Folder);
                id = model?.Id;
            }
            else
            {
                id = (await datasets.FindAsync(reference.Id!, cancel))?.Id;
                if (id is not null && await datasets.RowsAsync(id, -1, 1, cancel) is [var row, ..]) RowFit.Require(parsed, reference, row.Content);
            }
            if (id is null)
            {
                var kind = reference.Kind == Artifact.Model ? "model" : "dataset";
                throw new InvalidInputException($"'{reference.Path}' names the {kind} '{reference.Id}', which there is not; GET /v1/{kind}s lists those there are.", reference.Path, "invalid_reference");
            }
            if (id != reference.Id) JsonPath.Set(pinned ??= JsonNode.Parse(options.GetRawText())!, reference.Path[(path.Length + 1)..], id);
        }
        return (pinned is null ? options : JsonSerializer.SerializeToElement(pinned), used);
    }

    /// <summary>Refuses a model that the stage cannot use; what is known of one that it can.</summary>
    private async Task<KnownModel?> UseAsync(StageOptions parsed, Model model, CancellationToken cancel)
    {
        var stored = new StoredModel(model.Folder, await CatalogModelFolders.BaseAsync(model, models, cancel));
        if (((parsed as SftOptions)?.Adapter ?? (parsed as GrpoOptions)?.Adapter) is { } adapter) adapter.Require(stored, model.Id);
        return parsed is PretrainOptions pretrain ? new(pretrain.ConfigOf(stored.WeightsFolder), stored.TextFolder, null) : Known(stored);
    }

    /// <summary>Null where it cannot be read; the stage itself will say so.</summary>
    private static KnownModel? Known(StoredModel stored)
    {
        try
        {
            return new(stored.Config(), stored.TextFolder, stored.IsAdapter ? new FileInfo(Path.Combine(stored.Folder, Adapter.WeightsFile)).Length / sizeof(float) : null);
        }
        catch (Exception problem) when (problem is InvalidInputException or IOException)
        {
            return null;
        }
    }

    private static long? Seed(long? seed) => seed is null or (>= 0 and <= MostSeed) ? seed
        : throw new InvalidInputException($"'seed' must be a whole number from 0 to {MostSeed}, not {seed}.", "seed", "out_of_range");

    private static string? Name(string? name) => name is null || (name.Trim().Length > 0 && name.Length <= 200 && !name.Any(char.IsControl)) ? name
        : throw new InvalidInputException("'name' must be a text of 1 to 200 characters without control characters.", "name");
}

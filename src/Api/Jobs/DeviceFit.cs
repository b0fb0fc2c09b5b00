using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Persistence;
using Gradus.Training;
using Gradus.Training.Evaluation;
using Gradus.Training.Grpo;
using Gradus.Training.Model;
using Gradus.Training.Rollouts;
using Gradus.Training.Stages;
using Gradus.Training.Text;

namespace Gradus.Api.Jobs;

/// <summary>What is known of a stage before it is queued.</summary>
/// <param name="Estimate">For the job's row; null where its model is not known yet.</param>
internal sealed record StageOutlook(JsonElement? Estimate, IReadOnlyList<string> Warnings);

/// <summary>The model of a stage, as far as it is known before it runs.</summary>
/// <param name="TextFolder">Where its tokenizer is.</param>
/// <param name="AdapterWeights">Of the adapter that it is; null where it is a whole model.</param>
internal sealed record KnownModel(ModelConfig Config, string TextFolder, long? AdapterWeights);

/// <summary>
/// Whether there is a device for a stage: the one it asks for, and enough memory. Only what is known counts against a stage: a model and rows by id. Where an earlier stage
/// has yet to make the rows, or another job holds the memory now, its owner is warned instead.
/// </summary>
internal sealed class DeviceFit(DeviceStore devices, DatasetStore datasets)
{
    /// <summary>Rows of a dataset that are turned into tokens: the longest.</summary>
    private const int RowsRead = 8;

    /// <param name="path">Where the options stand in the request.</param>
    /// <param name="model">Null where it is not known.</param>
    /// <exception cref="InvalidInputException">There is no such device, or none has the memory.</exception>
    public async Task<StageOutlook> LookAsync(StageOptions options, string path, KnownModel? model, CancellationToken cancel)
    {
        var all = await devices.AllAsync(cancel);
        var fitting = all.Where(device => options.Device is null || device.Name == options.Device).ToArray();
        if (options.Device is { } wanted && fitting.Length == 0)
        {
            var names = all.Count == 0 ? "there is none yet, as no worker has started" : string.Join(", ", all.Select(device => device.Name).Distinct());
            throw new InvalidInputException($"'{path}.device' must be one of the devices there are ({names}), not '{wanted}'.", $"{path}.device", "unknown_value");
        }
        List<string> warnings = [];
        var bfloat16 = StageMemory.LoopOf(options)?.BFloat16 ?? StageMemory.RolloutsOf(options)?.BFloat16 ?? false;
        if (bfloat16 && fitting.Length > 0 && !fitting.Any(device => device.Bfloat16))
            warnings.Add($"dtype bf16: the processor of {string.Join(", ", fitting.Select(device => device.Id))} has no instructions for bf16 (AVX512_BF16, AMX), so that it will be slower than float32.");
        if (model is null) return new(null, warnings);

        var material = new StageMaterial(model.Config, model.AdapterWeights, await RowsAsync(options, model, cancel));
        StageMemory.CheckCache(options, material, path);
        if (StageMemory.Of(options, material) is not { } estimate) return new(null, warnings);
        if (fitting.MaxBy(device => device.MemoryBytes) is { MemoryBytes: > 0 } largest)
        {
            var needs = $"needs about {estimate}";
            var has = FormattableString.Invariant($"{largest.Id} has {largest.MemoryBytes / 1e9:0.0#} GB, {largest.FreeBytes / 1e9:0.0#} of them free now");
            if (estimate.Total > largest.MemoryBytes)
            {
                var message = $"{needs}; {has}. {WhatFits(options, material, largest.MemoryBytes)}";
                if (material.Rows is not null) throw new InvalidInputException($"'{path}' {message}", path, "out_of_memory");
                warnings.Add($"With rows as long as the options allow it {message}");
            }
            else if (estimate.Total > largest.FreeBytes) warnings.Add($"It {needs}; {has}.");
        }
        return new(Json(estimate, material.Rows), warnings);
    }

    /// <summary>How long the stage's rows are; null where an earlier stage has yet to make some, or they cannot be read: the stage itself will say so.</summary>
    private async Task<RowTokens?> RowsAsync(StageOptions options, KnownModel model, CancellationToken cancel)
    {
        var references = options.References.Where(reference => reference.Kind == Artifact.Dataset && !reference.Path.Contains("held_out", StringComparison.Ordinal)).ToArray();
        if (references.Any(reference => reference.Id is null)) return null;
        try
        {
            var prompts = PromptEncoder.Load(model.TextFolder);
            var (longest, mean) = (1, 1.0);
            foreach (var reference in references)
            {
                var (rows, bytes) = await datasets.LengthsAsync((await datasets.FindAsync(reference.Id!, cancel))!.Id, RowsRead, cancel);
                if (rows.Count == 0) continue;
                var tokens = rows.Select(row => Tokens(options, prompts, row.Content)).ToArray();
                longest = Math.Max(longest, tokens.Max());
                mean = Math.Max(mean, tokens.Zip(rows, (count, row) => (double)count / row.Bytes).Max() * bytes);
            }
            return new(longest, mean);
        }
        catch (InvalidInputException)
        {
            return null;
        }
    }

    private static int Tokens(StageOptions options, PromptEncoder prompts, JsonElement row) => options is GrpoOptions or RejectionSamplingOptions or EvaluateOptions
        ? prompts.Encode(row.GetProperty("prompt")).Tokens.Length
        : prompts.EncodeExample(row).Tokens.Length;

    private static string WhatFits(StageOptions options, StageMaterial material, long bytes)
    {
        var fitting = StageMemory.Fitting(options, material, bytes);
        return fitting.Count == 0
            ? "No smaller micro-batch would fit either: it needs a smaller model or a larger device."
            : $"It would fit with {string.Join(", or with ", fitting.Select(change => FormattableString.Invariant($"{change.Change} ({change.Estimate.Total / 1e9:0.0#} GB)")))}.";
    }

    private static JsonElement Json(MemoryEstimate estimate, RowTokens? rows) => JsonSerializer.SerializeToElement(new JsonObject
    {
        ["total_bytes"] = estimate.Total, ["weights_bytes"] = estimate.Weights, ["gradients_bytes"] = estimate.Gradients, ["optimizer_bytes"] = estimate.Optimizer,
        ["activations_bytes"] = estimate.Activations, ["logits_bytes"] = estimate.Logits, ["cache_bytes"] = estimate.Cache, ["holes_bytes"] = estimate.Holes, ["process_bytes"] = estimate.Process, ["row_tokens"] = rows?.Longest,
    });
}

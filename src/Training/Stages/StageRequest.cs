using System.Text.Json;

namespace Gradus.Training.Stages;

/// <summary>One attempt of one stage: what the worker hands to the child.</summary>
/// <param name="Stage">pretrain, sft, grpo, generate, select, rejection-sampling, evaluate, export.</param>
/// <param name="Options">The stage's options as they were sent, with every <c>{"from":"STAGE"}</c> replaced by the id of what that stage made.</param>
/// <param name="Folder">The job's own folder; checkpoints and the finished model go below it.</param>
/// <param name="Stamp">The lease's stamp, part of every checkpoint folder's name.</param>
/// <param name="Checkpoints">URIs of what can be resumed from, newest first; a torn one is passed over for the next.</param>
/// <param name="Device"><c>cpu</c> or <c>cuda:N</c>.</param>
public sealed record StageRequest(
    string JobId, string Stage, JsonElement Options, long Seed, string Folder, long Stamp, IReadOnlyList<CheckpointRecord> Checkpoints, string Device);

/// <summary>What a stage made. The caller registers it in the same transaction that marks the job succeeded.</summary>
/// <param name="ModelFolder">A complete Hugging Face folder below the request's folder, or null.</param>
/// <param name="Rows">Rows of a new dataset, one JSON object each, or null.</param>
/// <param name="Summary">The stage's closing figures, for the job's <c>result</c>.</param>
public sealed record StageResult(string? ModelFolder, IReadOnlyList<JsonElement>? Rows, IReadOnlyList<Metric> Summary);

/// <summary>Where a stage finds models and datasets by id: the border to Postgres (src/Api) and to memory (tests, benches).</summary>
public interface ICatalog
{
    /// <summary>The folder of a model.</summary>
    /// <exception cref="InvalidInputException">There is no such model.</exception>
    string ModelFolder(string id);

    /// <summary>All rows of a dataset, in order, one JSON object each.</summary>
    /// <exception cref="InvalidInputException">There is no such dataset.</exception>
    IReadOnlyList<JsonElement> Rows(string id);

    /// <summary>Where a model comes from; null where the catalog does not know.</summary>
    ModelOrigin? Origin(string id) => null;
}

using System.Text.Json;

namespace Gradus.Training.Stages;

/// <summary>Where a model comes from, as the catalog knows it.</summary>
/// <param name="License">Its own or that of the nearest model it was made of; null where none is known.</param>
/// <param name="Steps">The model first, then what it was made of.</param>
public sealed record ModelOrigin(string Name, string? License, IReadOnlyList<OriginStep> Steps);

/// <summary>One model of an origin.</summary>
/// <param name="Stage">The stage that made it; null for built-in and imported ones, and so are the fields after it.</param>
/// <param name="Options">The stage's options.</param>
/// <param name="Result">The job's closing figures.</param>
/// <param name="Source">Where an import came from; null for others.</param>
public sealed record OriginStep(string Model, string Name, string? Stage, string? Recipe, string? Run, long? Seed, JsonElement? Options, JsonElement? Result, JsonElement? Source);

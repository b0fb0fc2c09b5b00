using System.ComponentModel.DataAnnotations;

namespace Gradus.Api.Operations;

/// <summary>
/// The section <c>Gradus</c> of the configuration (in the environment <c>Gradus__Name</c>). Every number has bounds; a name that is not here is
/// refused at the start. Lists are written <c>a,b</c> or as <c>Gradus:Keys:0</c>, <c>Gradus:Keys:1</c>.
/// </summary>
internal sealed record GradusSettings
{
    /// <summary>Where the service listens. Without <see cref="Keys"/> the host must be a loopback one. Port 0 takes a free one.</summary>
    public string Url { get; init; } = "http://localhost:5080";

    /// <summary>The folder of all that is kept in files: models, checkpoints, uploads on their way. Relative to the current folder.</summary>
    public string StateFolder { get; init; } = "data/state";

    /// <summary>What this process does: <c>api</c> (answers HTTP), <c>worker</c> (runs jobs).</summary>
    public IReadOnlyList<string> Roles { get; init; } = ["api", "worker"];

    /// <summary>The keys that may call (<c>Authorization: Bearer KEY</c>), at least 16 characters each. None: loopback only, and no key is asked for.</summary>
    public IReadOnlyList<string> Keys { get; init; } = [];

    /// <summary>Requests a second for each key (without keys: each address); beyond it 429. One second's worth may come at once.</summary>
    [Range(1, 100_000)]
    public int RequestsPerSecond { get; init; } = 60;

    /// <summary>The largest JSON body, in bytes.</summary>
    [Range(1024, 1 << 30)]
    public long MaxJsonBytes { get; init; } = 16 << 20;

    /// <summary>The largest uploaded file, in bytes.</summary>
    [Range(1024, 1L << 40)]
    public long MaxUploadBytes { get; init; } = 2L << 30;

    /// <summary>The most rows one dataset may have.</summary>
    [Range(1, 100_000_000)]
    public int MaxDatasetRows { get; init; } = 5_000_000;

    /// <summary>The longest line of an uploaded dataset, in bytes.</summary>
    [Range(1024, 64 << 20)]
    public int MaxRowBytes { get; init; } = 1 << 20;

    /// <summary>How deep a dataset's row may nest.</summary>
    [Range(2, 64)]
    public int MaxRowDepth { get; init; } = 32;

    /// <summary>How many wrong lines of an upload are reported before reading stops.</summary>
    [Range(1, 1000)]
    public int MaxReportedLines { get; init; } = 20;

    /// <summary>Folders of this machine below which models may be imported from (POST /v1/models with a path); default the folder <c>imports</c> of <see cref="StateFolder"/>.</summary>
    public IReadOnlyList<string> ModelRoots { get; init; } = [];

    /// <summary>The most bytes an imported model may have, over all its files, as they come and as they are kept.</summary>
    [Range(1024, 1L << 44)]
    public long MaxModelBytes { get; init; } = 64L << 30;

    /// <summary>Seconds within which an imported model must have been loaded once.</summary>
    [Range(5, 86_400)]
    public double ModelCheckSeconds { get; init; } = 900;

    /// <summary>Seconds between two looks at the database by a progress stream.</summary>
    [Range(0.05, 60)]
    public double ProgressSeconds { get; init; } = 0.5;

    /// <summary>What a worker computes on: <c>cpu</c>, <c>cuda:0</c>, ... Each runs one job at a time.</summary>
    public IReadOnlyList<string> Devices { get; init; } = ["cpu"];

    /// <summary>Seconds for which an attempt holds its job without renewing. A job whose worker died without a word goes on elsewhere after this long.</summary>
    [Range(2, 3600)]
    public double LeaseSeconds { get; init; } = 20;

    /// <summary>Seconds a stage has to save a checkpoint and leave when it is paused or the service stops; then it is killed and goes on from the one before.</summary>
    [Range(1, 3600)]
    public double StopSeconds { get; init; } = 30;

    /// <summary>Seconds without any progress after which a stage counts as hung, where its phase has no limit of its own.</summary>
    [Range(1, 86_400)]
    public double PhaseLimitSeconds { get; init; } = 600;

    /// <summary>Limits by phase, <c>PHASE=SECONDS</c>: <c>checkpoint=1800,rollout=300</c>; the phases are those of <see cref="Training.Stages.Phases"/>.</summary>
    public IReadOnlyList<string> PhaseLimits { get; init; } = [];

    /// <summary>Where chat computes: <c>cpu</c> or <c>cuda:N</c>.</summary>
    public string ChatDevice { get; init; } = "cpu";

    /// <summary>How many models stay loaded for chat when nobody talks to them.</summary>
    [Range(1, 100)]
    public int ChatModels { get; init; } = 3;

    /// <summary>How many answers of one model are computed at once; others wait.</summary>
    [Range(1, 4096)]
    public int ChatSequences { get; init; } = 64;

    /// <summary>The most memory that keys and values of one loaded model take, in MB (10^6 bytes): of the answers under way, and what is kept for chats that go on. What does not fit waits.</summary>
    [Range(1, 1 << 20)]
    public int ChatCacheMb { get; init; } = 2048;

    /// <summary>
    /// <c>float32</c>, or <c>bf16</c>: products of bf16 weights and states, twice as fast or more on processors with AVX512_BF16 (elsewhere, and on GPUs, it stays float32). It holds a bf16 copy of
    /// the weights, and log-probabilities are some hundredths off.
    /// </summary>
    public string ChatDtype { get; init; } = "float32";

    /// <summary>Threads that chat computes with; 0 is one a core.</summary>
    [Range(0, 1024)]
    public int ChatThreads { get; init; }

    /// <summary>Whether this process has that role.</summary>
    public bool HasRole(string role) => Roles.Contains(role);

    /// <summary>Reads and checks the section.</summary>
    /// <exception cref="SettingsException">A name is unknown or a value is not allowed.</exception>
    public static GradusSettings Read(IConfiguration configuration)
    {
        var settings = SettingsReader.Read<GradusSettings>(configuration.GetSection("Gradus"));
        foreach (var role in settings.Roles)
            if (role is not ("api" or "worker")) throw new SettingsException($"Gradus:Roles holds '{role}'; allowed are api and worker.");
        if (settings.Roles.Count == 0) throw new SettingsException("Gradus:Roles is empty; allowed are api and worker.");
        foreach (var key in settings.Keys)
            if (key.Length < 16) throw new SettingsException($"Gradus:Keys holds a key of {key.Length} characters; a key has at least 16.");
        if (!Uri.TryCreate(settings.Url.Replace("://*", "://0.0.0.0", StringComparison.Ordinal).Replace("://+", "://0.0.0.0", StringComparison.Ordinal), UriKind.Absolute, out var url)
            || url.Scheme is not ("http" or "https"))
            throw new SettingsException($"Gradus:Url is '{settings.Url}'; expected is an address such as http://localhost:5080.");
        if (settings.Keys.Count == 0 && !url.IsLoopback)
            throw new SettingsException($"Gradus:Url is '{settings.Url}', which others can reach, and no key is set: set Gradus:Keys (Gradus__Keys=...), or listen on localhost.");
        if (settings.ChatDtype is not ("float32" or "bf16")) throw new SettingsException($"Gradus:ChatDtype is '{settings.ChatDtype}'; allowed are float32 and bf16.");
        foreach (var root in settings.ModelRoots)
            if (!Path.IsPathRooted(root)) throw new SettingsException($"Gradus:ModelRoots holds '{root}'; expected are absolute paths.");
        var state = Path.GetFullPath(settings.StateFolder);
        return settings with { StateFolder = state, ModelRoots = settings.ModelRoots.Count > 0 ? settings.ModelRoots : [Path.Combine(state, "imports")] };
    }
}

/// <summary>A setting is wrong: the message names it, what is allowed and what came.</summary>
internal sealed class SettingsException(string message) : Exception(message);

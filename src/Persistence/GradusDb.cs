using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace Gradus.Persistence;

/// <summary>
/// The tables as EF Core sees them, for reading and for plain inserts. What must be one guarded statement (claims, leases, steps) is SQL in
/// <see cref="JobStore"/>, <see cref="JobLease"/> and <see cref="RunStore"/>. The schema itself is made by <see cref="Migrator"/>.
/// </summary>
public sealed class GradusDb(DbContextOptions<GradusDb> options) : DbContext(options)
{
    public DbSet<Model> Models => Set<Model>();

    public DbSet<Dataset> Datasets => Set<Dataset>();

    public DbSet<DatasetRow> DatasetRows => Set<DatasetRow>();

    public DbSet<Device> Devices => Set<Device>();

    public DbSet<Run> Runs => Set<Run>();

    public DbSet<Job> Jobs => Set<Job>();

    public DbSet<JobEvent> JobEvents => Set<JobEvent>();

    public DbSet<StepMetric> Metrics => Set<StepMetric>();

    public DbSet<StepSample> Samples => Set<StepSample>();

    public DbSet<StepReward> Rewards => Set<StepReward>();

    public DbSet<Checkpoint> Checkpoints => Set<Checkpoint>();

    protected override void OnModelCreating(ModelBuilder modelBuilder)
    {
        modelBuilder.Entity<Model>(Table("models"));
        modelBuilder.Entity<Dataset>(Table("datasets"));
        modelBuilder.Entity<DatasetRow>(Table("dataset_rows")).Entity<DatasetRow>().HasKey(row => new { row.DatasetId, row.Index });
        modelBuilder.Entity<Device>(Table("devices"));
        modelBuilder.Entity<Run>(Table("runs"));
        modelBuilder.Entity<Job>(Table("jobs")).Entity<Job>().HasOne(job => job.Run).WithMany(run => run.Jobs).HasForeignKey(job => job.RunId);
        modelBuilder.Entity<JobEvent>(Table("job_events"));
        modelBuilder.Entity<StepMetric>(Table("metrics")).Entity<StepMetric>().HasKey(metric => new { metric.JobId, metric.Step, metric.Name });
        modelBuilder.Entity<StepSample>(Table("samples")).Entity<StepSample>().HasKey(sample => new { sample.JobId, sample.Step, sample.Index });
        modelBuilder.Entity<StepSample>().HasMany(sample => sample.Rewards).WithOne().HasForeignKey(reward => new { reward.JobId, reward.Step, reward.Index });
        modelBuilder.Entity<StepReward>(Table("rewards")).Entity<StepReward>().HasKey(reward => new { reward.JobId, reward.Step, reward.Index, reward.Name });
        modelBuilder.Entity<Checkpoint>(Table("checkpoints")).Entity<Checkpoint>().HasKey(checkpoint => new { checkpoint.JobId, checkpoint.Step });
        foreach (var entity in modelBuilder.Model.GetEntityTypes())
        {
            foreach (var property in entity.GetProperties())
            {
                property.SetColumnName(SnakeCase(property.Name));
                if (property.Name == "CreatedAt") property.SetDefaultValueSql("now()");
            }
        }
    }

    private static Action<EntityTypeBuilder> Table(string name) => entity => entity.ToTable(name);

    internal static string SnakeCase(string name) =>
        string.Concat(name.Select((letter, place) => char.IsUpper(letter) ? (place == 0 ? "" : "_") + char.ToLowerInvariant(letter) : letter.ToString()));
}
